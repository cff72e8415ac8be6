package remote

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// target returns the path of the socket, or the URL of an HTTPS server.
func (s *Server) target() (socket, base string, err error) {
	if path, ok := strings.CutPrefix(s.URL, "unix:"); ok {
		if !filepath.IsAbs(path) || strings.Contains(path, "#") {
			return "", "", fmt.Errorf("signer %q: the path of the socket is not absolute, or has a #", s.URL)
		}
		if s.CertFile != "" || s.KeyFile != "" || s.CAFile != "" {
			return "", "", fmt.Errorf("signer %q: certificates are for https", s.URL)
		}
		return path, "http://signer", nil
	}
	u, err := url.Parse(s.URL)
	switch {
	case err != nil:
		return "", "", fmt.Errorf("signer %q: it is no URL", s.URL)
	case u.Scheme != "https" || u.Host == "":
		return "", "", fmt.Errorf("signer %q: use unix:/PATH or https://HOST", s.URL)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "", "", fmt.Errorf("signer %q: only a host and a path can be in it; a secret belongs into TokenFile", u.Redacted())
	case (s.CertFile == "") != (s.KeyFile == ""):
		return "", "", fmt.Errorf("signer %q: CertFile and KeyFile belong together", s.URL)
	}
	return "", strings.TrimRight(s.URL, "/"), nil
}

// client returns a client for one call, and what its paths are below.
func (s *Server) client() (*http.Client, string, error) {
	socket, base, err := s.target()
	if err != nil {
		return nil, "", err
	}
	t := &http.Transport{DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxHead}
	if socket != "" {
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		}
	} else if t.TLSClientConfig, err = s.tls(); err != nil {
		return nil, "", err
	}
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // which is then refused, whatever it says
	}}, base, nil
}

// tls returns the certificates of both ends.
func (s *Server) tls() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.CAFile != "" {
		b, err := os.ReadFile(s.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read the certificates of the signer's authority: %w", err)
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("%s has no certificate", s.CAFile)
		}
	}
	if s.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(s.CertFile, s.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read the certificate for the signer: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// authorize adds the token.
func (s *Server) authorize(req *http.Request) error {
	if s.TokenFile == "" {
		return nil
	}
	f, err := os.Open(s.TokenFile)
	if err != nil {
		return fmt.Errorf("read the token for the signer: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	if err != nil {
		return fmt.Errorf("read the token for the signer: %w", err)
	}
	b = bytes.TrimSpace(b)
	if len(b) == 0 || len(b) > maxToken || bytes.ContainsFunc(b, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return fmt.Errorf("%s is not a token: one line of at most %d visible characters", s.TokenFile, maxToken)
	}
	req.Header.Set("Authorization", "Bearer "+string(b))
	return nil
}

// unwrapURL removes what the HTTP client says before an error: method and URL.
func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
