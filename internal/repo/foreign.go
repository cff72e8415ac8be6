package repo

// A foreignKey is a key of Kubo's config that has no effect on this node.
type foreignKey struct {
	// refuse means that without the key, content, answers or what others learn would
	// differ from what the config asks for. Otherwise the key is kept, with a warning.
	refuse bool
	// taken are the values, as JSON, that ask for what this node does anyway; null, ""
	// and empty values always do.
	taken []string
	// free means that any keys may be below.
	free bool
}

// foreignKeys are the keys of Kubo 0.43 that are not in [Config]. A part "*" is
// any name.
var foreignKeys = map[string]foreignKey{
	"DNS.MaxCacheTTL": {refuse: true},

	"AutoConf.RefreshInterval":                             {},
	"AutoConf.TLSInsecureSkipVerify":                       {},
	"AutoConf.URL":                                         {},
	"AutoNAT.Throttle.GlobalLimit":                         {},
	"AutoNAT.Throttle.Interval":                            {},
	"AutoNAT.Throttle.PeerLimit":                           {},
	"Datastore.BlockKeyCacheSize":                          {},
	"Datastore.BloomFilterSize":                            {},
	"Datastore.HashOnRead":                                 {taken: []string{`false`}},
	"Datastore.NoSync":                                     {taken: []string{`false`}},
	"Datastore.Params":                                     {free: true},
	"Datastore.Path":                                       {},
	"Datastore.Spec":                                       {free: true},
	"Datastore.Type":                                       {},
	"Datastore.WriteThrough":                               {},
	"Discovery.MDNS.Enabled":                               {taken: []string{`false`}},
	"Experimental.AcceleratedDHTClient":                    {},
	"Experimental.FilestoreEnabled":                        {taken: []string{`false`}},
	"Experimental.GatewayOverLibp2p":                       {taken: []string{`false`}},
	"Experimental.GraphsyncEnabled":                        {},
	"Experimental.Libp2pStreamMounting":                    {taken: []string{`false`}},
	"Experimental.OptimisticProvide":                       {taken: []string{`false`}},
	"Experimental.OptimisticProvideJobsPoolSize":           {},
	"Experimental.P2pHttpProxy":                            {taken: []string{`false`}},
	"Experimental.ShardingEnabled":                         {taken: []string{`false`}},
	"Experimental.StrategicProviding":                      {taken: []string{`false`}},
	"Experimental.UrlstoreEnabled":                         {taken: []string{`false`}},
	"Internal.BackupBootstrapInterval":                     {},
	"Internal.Bitswap.BroadcastControl.Enable":             {},
	"Internal.Bitswap.BroadcastControl.LocalPeers":         {},
	"Internal.Bitswap.BroadcastControl.MaxPeers":           {},
	"Internal.Bitswap.BroadcastControl.MaxRandomPeers":     {},
	"Internal.Bitswap.BroadcastControl.PeeredPeers":        {},
	"Internal.Bitswap.BroadcastControl.SendToPendingPeers": {},
	"Internal.Bitswap.EngineBlockstoreWorkerCount":         {},
	"Internal.Bitswap.EngineTaskWorkerCount":               {},
	"Internal.Bitswap.MaxOutstandingBytesPerPeer":          {},
	"Internal.Bitswap.ProviderSearchDelay":                 {},
	"Internal.Bitswap.ProviderSearchMaxResults":            {},
	"Internal.Bitswap.TaskWorkerCount":                     {},
	"Internal.Bitswap.WantHaveReplaceSize":                 {},
	"Internal.CGNATCheck":                                  {},
	"Internal.DeadListenerCheck":                           {},
	"Internal.MFSNoFlushLimit":                             {},
	"Internal.NonPublicAddrPublishing":                     {},
	"Internal.ShutdownTimeout":                             {},
	"Migration.DownloadSources":                            {},
	"Migration.Keep":                                       {},
	"Mounts.FuseAllowOther":                                {},
	"Mounts.IPFS":                                          {},
	"Mounts.IPNS":                                          {},
	"Mounts.MFS":                                           {},
	"Mounts.StoreMode":                                     {},
	"Mounts.StoreMtime":                                    {},
	"Pinning.RemoteServices.*.Policies.MFS.Enable":         {taken: []string{`false`}},
	"Pinning.RemoteServices.*.Policies.MFS.PinName":        {},
	"Pinning.RemoteServices.*.Policies.MFS.RepinInterval":  {},
	"Plugins.Plugins.*.Config":                             {free: true},
	"Plugins.Plugins.*.Disabled":                           {},
	"Provide.BloomFPRate":                                  {},
	"Provider.Enabled":                                     {},
	"Provider.Strategy":                                    {taken: []string{`"roots"`}},
	"Provider.WorkerCount":                                 {},
	"Pubsub.DisableSigning":                                {},
	"Pubsub.Enabled":                                       {taken: []string{`false`}},
	"Pubsub.Router":                                        {},
	"Pubsub.SeenMessagesStrategy":                          {},
	"Pubsub.SeenMessagesTTL":                               {},
	"Reprovider.Interval":                                  {},
	"Reprovider.Strategy":                                  {taken: []string{`"roots"`}},
	"Routing.AcceleratedDHTClient":                         {taken: []string{`false`}},
	"Swarm.ConnMgr.SilencePeriod":                          {},
	"Swarm.ResourceMgr.Limits":                             {free: true},
	"Version.SwarmCheckEnabled":                            {taken: []string{`false`}},
	"Version.SwarmCheckPercentThreshold":                   {},
}
