package api

import (
	"errors"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// pinRemoteCommands are the commands of this file.
var pinRemoteCommands = []rpc.Spec{PinRemoteAdd, PinRemoteLs, PinRemoteRm, PinServiceAdd, PinServiceLs, PinServiceRm}

var (
	// PinRemoteAdd: have content pinned elsewhere.
	PinRemoteAdd = rpc.Command[PinRemoteAddRequest, RemotePin]{
		Info: rpc.Info{
			Path: "pin/remote/add", Args: "<ipfs-path>",
			Short:    "Have content pinned by a service",
			Examples: []string{`ipns pin remote add --service=files --name=site $CID`},
		},
		Text: PinRemoteAddRequest.Text,
	}
	// PinRemoteLs: list what a service pins.
	PinRemoteLs = rpc.Command[PinRemoteListRequest, RemotePin]{
		Info: rpc.Info{
			Path:     "pin/remote/ls",
			Short:    "List what a service pins",
			Examples: []string{`ipns pin remote ls --service=files --status=queued,pinning,pinned,failed`},
			Chunked:  true,
		},
		Text: func(_ PinRemoteListRequest, p RemotePin) string {
			return display.Sprintf("%s\t%s\t%s\n", p.Cid, p.Status, p.Name)
		},
	}
	// PinRemoteRm: remove pins of a service.
	PinRemoteRm = rpc.Command[PinRemoteRemoveRequest, rpc.Nothing]{
		Info: rpc.Info{
			Path:     "pin/remote/rm",
			Short:    "Remove pins of a service",
			Examples: []string{`ipns pin remote rm --service=files --cid=$CID`},
		},
	}
	// PinServiceAdd: add a service.
	PinServiceAdd = rpc.Command[PinServiceAddRequest, rpc.Nothing]{
		Info: rpc.Info{
			Path: "pin/remote/service/add", Args: "<service> <endpoint> <key>",
			Short: "Add a pinning service",
			Long: "Add a service that speaks the IPFS Pinning Service API, with its access key, to\n" +
				"the config under Pinning.RemoteServices.",
			Examples: []string{`ipns pin remote service add files https://pins.example.com/psa secret`},
		},
	}
	// PinServiceLs: list services.
	PinServiceLs = rpc.Command[PinServiceListRequest, PinServices]{
		Info: rpc.Info{
			Path:     "pin/remote/service/ls",
			Short:    "List pinning services",
			Examples: []string{`ipns pin remote service ls`},
		},
		Text: PinServiceListRequest.Text,
	}
	// PinServiceRm: remove a service.
	PinServiceRm = rpc.Command[PinServiceRemoveRequest, rpc.Nothing]{
		Info: rpc.Info{
			Path: "pin/remote/service/rm", Args: "<service>",
			Short:    "Remove a pinning service",
			Examples: []string{`ipns pin remote service rm files`},
		},
	}
)

// PinRemoteAddRequest has content pinned.
type PinRemoteAddRequest struct {
	CIDBase
	Path       string `arg:"ipfs-path"`
	Service    string `opt:"service" help:"name of the service"`
	Name       string `opt:"name" help:"name of the pin"`
	Background bool   `opt:"background" help:"do not wait until it is pinned"`
}

// RemotePin is a pin of a service.
type RemotePin struct {
	Status, Cid, Name string
	// Offline says that the service cannot fetch it from here.
	Offline bool `json:"-"`
}

// Text is a small table.
func (PinRemoteAddRequest) Text(p RemotePin) string {
	text := ""
	if p.Offline {
		text = "WARNING: the local node is offline and remote pinning may fail if there is no other provider for this CID\n"
	}
	return text + display.Sprintf("CID:    %s\nName:   %s\nStatus: %s\n", p.Cid, p.Name, p.Status)
}

// RemoteQuery selects pins of a service.
type RemoteQuery struct {
	Service string   `opt:"service" help:"name of the service"`
	Name    string   `opt:"name" help:"only pins with this name"`
	CIDs    []string `opt:"cid" help:"only pins of these CIDs"`
	Status  []string `opt:"status" help:"only pins in these states: queued, pinning, pinned, failed (default pinned)"`
}

// PinRemoteListRequest lists pins.
type PinRemoteListRequest struct {
	CIDBase
	RemoteQuery
}

// PinRemoteRemoveRequest removes pins.
type PinRemoteRemoveRequest struct {
	RemoteQuery
	Force bool `opt:"force" help:"remove more than one pin"`
}

// PinServiceAddRequest adds a service.
type PinServiceAddRequest struct {
	Service  string `arg:"service"`
	Endpoint string `arg:"endpoint"`
	Key      string `arg:"key"`
}

// PinServiceRemoveRequest removes a service.
type PinServiceRemoveRequest struct {
	Service string `arg:"service"`
}

// PinServiceListRequest lists services.
type PinServiceListRequest struct {
	Stat bool `opt:"stat" help:"ask each how many pins it has: queued/pinning/pinned/failed"`
}

// PinServices are the services of the config.
type PinServices struct{ RemoteServices []PinService }

// PinService is a service.
type PinService struct {
	Service     string
	ApiEndpoint string
	Stat        *PinServiceStat `json:",omitempty"`
}

// PinServiceStat says whether a service answers, and what it has.
type PinServiceStat struct {
	Status   string    // valid or invalid
	PinCount *PinCount `json:",omitempty"`
}

// PinCount counts pins.
type PinCount struct{ Queued, Pinning, Pinned, Failed int }

// Text is one line a service.
func (req PinServiceListRequest) Text(l PinServices) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 1, 2, 1, ' ', 0)
	for _, s := range l.RemoteServices {
		display.Fprintf(w, "%s\t%s", s.Service, s.ApiEndpoint)
		if s.Stat != nil {
			stat := s.Stat.Status
			if c := s.Stat.PinCount; c != nil {
				stat = display.Sprintf("%d/%d/%d/%d", c.Queued, c.Pinning, c.Pinned, c.Failed)
			}
			display.Fprintf(w, "\t%s", stat)
		}
		_, _ = io.WriteString(w, "\n")
	}
	w.Flush()
	return b.String()
}

// ErrManyPins means that more than one pin would be removed.
var ErrManyPins = errors.New("multiple remote pins are matching this query, add --force to confirm the bulk removal")
