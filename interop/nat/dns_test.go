package nat

import (
	"errors"
	"net"
	"sync/atomic"

	"github.com/miekg/dns"
)

// bootstrapDomain leads to the bootstrap nodes, as bootstrap.libp2p.io does.
const bootstrapDomain = "bootstrap.ipns-nat.net"

// dnsServer answers for the public network. It knows one domain.
type dnsServer struct {
	texts  []string // TXT records of _dnsaddr.bootstrapDomain
	silent atomic.Bool
}

// serveDNS answers on the first server's address until the process ends.
func serveDNS(texts []string) (*dnsServer, error) {
	d := &dnsServer{texts: texts}
	for _, ip := range []string{address4(0), address6(0)} {
		at := net.JoinHostPort(ip, "53")
		packets, err := net.ListenPacket("udp", at)
		if err != nil {
			return nil, err
		}
		l, err := net.Listen("tcp", at)
		if err != nil {
			return nil, errors.Join(err, packets.Close())
		}
		go func() { _ = (&dns.Server{PacketConn: packets, Handler: d}).ActivateAndServe() }()
		go func() { _ = (&dns.Server{Listener: l, Handler: d}).ActivateAndServe() }()
	}
	return d, nil
}

func (d *dnsServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	if d.silent.Load() {
		return
	}
	m := new(dns.Msg)
	m.SetReply(q)
	m.Rcode = dns.RcodeNameError
	if len(q.Question) == 1 && dns.CanonicalName(q.Question[0].Name) == dns.CanonicalName("_dnsaddr."+bootstrapDomain) {
		m.Rcode = dns.RcodeSuccess
		if q.Question[0].Qtype == dns.TypeTXT {
			for _, t := range d.texts {
				m.Answer = append(m.Answer, &dns.TXT{
					Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 60}, Txt: []string{t},
				})
			}
		}
	}
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
		size := dns.MinMsgSize
		if o := q.IsEdns0(); o != nil {
			size = int(o.UDPSize())
		}
		m.Truncate(size)
	}
	_ = w.WriteMsg(m) // who asked may be gone
}
