// Package delegated carries records by HTTP, as the Delegated Routing V1 API
// does: [Client] asks a server and is a routing.Router, [Handler] is the server.
//
//	GET  /routing/v1/ipns/{name}    200 and the record, or 200 and no record
//	PUT  /routing/v1/ipns/{name}    200, or 409 and the record that is newer
//
// A record that enters by either is verified before anything else happens to it.
// A Client reads no more than a record may be long, follows redirects only
// within the server that it was told of, and never dials a private address that
// a public name leads to. A Handler refuses what is too long instead of cutting
// it, and lets no cache keep a record beyond its end.
//
// The requirements are those of the HTTP API at
// https://specs.ipfs.tech/routing/http-routing-v1/, and of IPIP-379, IPIP-484
// and IPIP-513.
package delegated

// Paths of the API, below the address of a server.
const (
	basePath      = "/routing/v1/"
	namePath      = basePath + "ipns/"
	providersPath = basePath + "providers/"
	peersPath     = basePath + "peers/"
	closestPath   = basePath + "dht/closest/peers/"
)

// Media types beside that of a record.
const (
	jsonType   = "application/json"
	ndjsonType = "application/x-ndjson"
)
