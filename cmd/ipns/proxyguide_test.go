package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// proxyGuide says how to put TLS in front of a daemon.
const proxyGuide = "../../docs/guides/proxy.md"

// TestTheGuideForProxiesIsAsItSays types every line in docs/guides/proxy.md with the nginx and the Caddy of
// this machine in front, which have the configs of the page but for ports, folders and the name of the API.
func TestTheGuideForProxiesIsAsItSays(t *testing.T) {
	t.Parallel() // it waits for other processes
	for _, proxy := range []struct {
		program, begin, end, install string
		args                         func(config string) []string
	}{
		{
			"nginx", "pid DIR/pid;\nerror_log stderr;\ndaemon off;\nmaster_process off;\nevents {}\nhttp {\naccess_log off;\nclient_body_temp_path DIR/body;\nproxy_temp_path DIR/proxy;\n" +
				"fastcgi_temp_path DIR/f;\nuwsgi_temp_path DIR/u;\nscgi_temp_path DIR/s;\n", "}\n", "nginx",
			func(config string) []string { return []string{"-p", filepath.Dir(config), "-c", config} },
		},
		{
			"caddy", "{\n\tadmin off\n\tauto_https disable_redirects\n\thttps_port PORT\n}\n", "", "caddy",
			func(config string) []string { return []string{"run", "--adapter", "caddyfile", "--config", config} },
		},
	} {
		t.Run(proxy.program, func(t *testing.T) {
			program, err := exec.LookPath(proxy.program)
			if err != nil {
				t.Skipf("there is no %s: apt-get install %s", proxy.program, proxy.install)
			}
			t.Parallel()
			dir, ports := t.TempDir(), freePorts(t, 4)
			selfMade(t, dir, "gw.example.com", "*.ipfs.gw.example.com", "*.ipns.gw.example.com", "names.example.com", "localhost")
			page, err := os.ReadFile(proxyGuide)
			if err != nil {
				t.Fatal(err)
			}
			block := regexp.MustCompile("(?s)```" + proxy.program + "\n(.*?)\n```").FindStringSubmatch(string(page))
			if block == nil {
				t.Fatalf("the guide has no config of %s", proxy.program)
			}
			// Names of the system are not ours to set: the API is asked for as localhost.
			text := strings.NewReplacer("DIR", dir, "/etc/ipns/tls", dir, "127.0.0.1:5001", "127.0.0.1:"+ports[0], "127.0.0.1:8080", "127.0.0.1:"+ports[1],
				"127.0.0.1:8090", "127.0.0.1:"+ports[2], "listen 443", "listen 127.0.0.1:"+ports[3], "api.example.com", "localhost", "PORT", ports[3]).
				Replace(proxy.begin + block[1] + "\n" + proxy.end)
			config := filepath.Join(dir, "config")
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			startProxy(t, program, proxy.args(config), dir, "127.0.0.1:"+ports[3])

			const api, secret, hosting = "ipns --api=/dns4/api.example.com/tcp/443/https", " --api-auth=bearer:a-long-secret", "ipns config Addresses.Hosting /ip4/127.0.0.1/tcp/8090"
			here := "ipns --api=/dns4/localhost/tcp/" + ports[3] + "/https"
			gateway, names := "curl --fail --location https://gw.example.com/ipfs/bafkqablimvwgy3y", "curl --fail https://names.example.com/openapi.json"
			typed{
				page: proxyGuide,
				before: map[string]string{
					"ipns daemon": "exec ipns config profile apply test\nexec ipns config Addresses.API /ip4/127.0.0.1/tcp/" + ports[0] + "\nexec ipns config Addresses.Gateway /ip4/127.0.0.1/tcp/" + ports[1] + "\n",
				},
				instead: map[string]string{
					hosting:              "ipns config Addresses.Hosting /ip4/127.0.0.1/tcp/" + ports[2],
					api + secret + " id": here + secret + " id",
					api + " id":          here + " id",
				},
				after: map[string]string{
					gateway: "stdout '^hello$'\nstderr '^https://bafkqablimvwgy3y\\.ipfs\\.gw\\.example\\.com/$'\n",
					names:   "stdout '\"openapi\": \"3.1.0\"'\n",
					// What does not fit into the buffers that proxies have, there and back.
					api + secret + " id": "stdout 12D3KooW\nexec sh -c 'head -c 5000000 /dev/urandom > large'\nexec " + here + secret + " add -Q large\n" +
						"capture LARGE stdout '(\\w+)'\nexec sh -c '" + here + secret + " cat $LARGE | cmp - large'\n",
				},
			}.run(t, "env CURL_TO=127.0.0.1:"+ports[3]+"\nenv SSL_CERT_FILE="+dir+"/cert.pem\n")
		})
	}
}

// freePorts returns ports of loopback that nobody uses. They are below those that systems choose
// from, so that nobody else gets them who listens on any port, or connects, before they are used.
func freePorts(t *testing.T, n int) (ports []string) {
	t.Helper()
	for tries := 0; len(ports) < n; tries++ {
		port := strconv.Itoa(10_000 + mathrand.IntN(20_000))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			if tries > 100*n {
				t.Fatal(err)
			}
			continue
		}
		defer l.Close()
		ports = append(ports, port)
	}
	return ports
}

// selfMade writes a certificate for hosts that its own key has signed, and that key.
func selfMade(t *testing.T, dir string, hosts ...string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: hosts[0]}, DNSNames: hosts, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// startProxy runs a proxy until the end of the test, and waits until it listens.
func startProxy(t *testing.T, program string, args []string, dir, address string) {
	t.Helper()
	var log lockedBuffer
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		<-ended
	})
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("%s ended:\n%s", program, log.String())
		default:
		}
		if time.Since(begin) > readyTimeout {
			t.Fatalf("%s does not listen:\n%s", program, log.String())
		}
	}
}

// curlTransport asks $CURL_TO for all hosts, if it is set, and trusts the certificates of $SSL_CERT_FILE.
func curlTransport() (*http.Transport, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	to := os.Getenv("CURL_TO")
	if to == "" {
		return transport, nil
	}
	trusted, err := os.ReadFile(os.Getenv("SSL_CERT_FILE"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bytes.TrimSpace(trusted)) {
		return nil, fmt.Errorf("no certificate in %s", os.Getenv("SSL_CERT_FILE"))
	}
	transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, to)
	}
	return transport, nil
}
