package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/internal/deploy"
	"github.com/goipns/ipns/internal/folder"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/rpc"
)

// maxKeyFile bounds a file with a private key.
const maxKeyFile = 64 << 10

// planSigner says who signs.
func (c *cli) planSigner(o publishOptions) (plan deploy.Plan, err error) {
	given := 0
	for _, option := range []string{o.Key, o.KeyFile, o.Record} {
		if option != "" {
			given++
		}
	}
	secret := os.Getenv(keyVariable)
	switch {
	case given > 1:
		return plan, code(deploy.BadInput, errors.New("--key, --key-file and --record exclude each other"))
	case (o.Record == "") != (o.Name == ""):
		return plan, code(deploy.BadInput, errors.New("--record and --name belong together"))
	case o.Record != "" && (o.Lifetime != nil || o.TTL != nil || o.Sequence != nil):
		return plan, code(deploy.BadInput, errors.New("--lifetime, --ttl and --sequence are in the record already, which is signed"))
	case o.Record != "":
		plan.Record, err = readRecord(o.Record, o.Name)
		return plan, err
	case o.KeyFile != "":
		b, err := c.readKeyFile(o.KeyFile)
		if err != nil {
			return plan, code(deploy.NoKey, fmt.Errorf("read the key: %w", err))
		}
		return plan, signWith(&plan, b, cmp.Or(strings.TrimPrefix(o.KeyFile, "-"), "standard input"))
	case o.Key == "" && secret != "":
		return plan, signWith(&plan, []byte(secret), "$"+keyVariable)
	}
	plan.Key = cmp.Or(o.Key, "self")
	return plan, nil
}

func (c *cli) readKeyFile(path string) ([]byte, error) {
	in := c.in
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	return io.ReadAll(io.LimitReader(in, maxKeyFile+1))
}

// signWith sets the key that signs here.
func signWith(plan *deploy.Plan, b []byte, from string) error {
	priv, _, err := ipns.RecognizeKey(b)
	if text, bad := base64.StdEncoding.DecodeString(string(b)); err != nil && bad == nil {
		priv, _, err = ipns.RecognizeKey(text) // as those keep a file who want it in one line
	}
	if err != nil {
		return code(deploy.NoKey, fmt.Errorf("%s holds no private key that can be read: %w", from, err))
	}
	plan.Signer = ipns.NewSigner(priv)
	return nil
}

func readRecord(path, name string) (*ipns.Record, error) {
	of, err := ipns.ParseName(name)
	if err != nil {
		return nil, code(deploy.BadInput, fmt.Errorf("--name: %w", err))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, code(deploy.BadInput, err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, ipns.MaxRecordSize+1))
	if err != nil {
		return nil, code(deploy.BadInput, err)
	}
	rec, err := ipns.Open(of, raw, time.Now())
	if err != nil {
		return nil, code(deploy.BadInput, fmt.Errorf("%s is no record of %s: %w", path, of, err))
	}
	return rec, nil
}

// adder adds content to a node and pins it, to be kept for a name if one is given, or with onlyHash only returns its
// root.
type adder = func(ctx context.Context, keepFor string, onlyHash bool) (cid.Cid, error)

// pinName is the name of a pin.
func pinName(keepFor string) string {
	if keepFor == "" {
		return ""
	}
	return content.KeptFor(keepFor)
}

// planContent says how what is to be published is added.
func (c *cli) planContent(o publishOptions) (func(rpc.Caller) adder, error) {
	info, err := os.Stat(o.what)
	switch {
	case err == nil && info.IsDir():
		return c.folderAdder(o)
	case err == nil:
		return carAdder(o.what)
	}
	root, bad := cid.Decode(strings.TrimSuffix(strings.TrimPrefix(o.what, "/ipfs/"), "/"))
	if bad != nil {
		return nil, fmt.Errorf("%w; nor is it a CID", missing(o.what, err))
	}
	return func(n rpc.Caller) adder {
		return func(ctx context.Context, keepFor string, onlyHash bool) (cid.Cid, error) {
			if onlyHash {
				return root, nil
			}
			req := rpc.New[api.PinAddRequest]()
			req.Paths, req.Name = []string{"/ipfs/" + root.String()}, pinName(keepFor)
			_, err := rpc.Do(ctx, n, api.PinAdd, req)
			return root, err
		}
	}, nil
}

func (c *cli) folderAdder(o publishOptions) (func(rpc.Caller) adder, error) {
	dir, err := siteFolder(o.what)
	if err != nil {
		return nil, err
	}
	up := upOptions{dir: dir, hidden: o.Hidden}
	r, err := c.repository()
	if err == nil {
		err = apart(r, up)
	}
	if err != nil {
		return nil, err
	}
	return func(n rpc.Caller) adder {
		return func(ctx context.Context, keepFor string, onlyHash bool) (cid.Cid, error) {
			root, err := c.addFolder(ctx, n, r, up, keepFor, onlyHash)
			if err != nil {
				return cid.Undef, err
			}
			return cid.Decode(root)
		}
	}, nil
}

// carAdder imports a CAR file, which has one root.
func carAdder(path string) (func(rpc.Caller) adder, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	roots, err := content.CARRoots(f)
	f.Close()
	if err == nil && len(roots) != 1 {
		err = fmt.Errorf("it has %d roots, and a name can have one", len(roots))
	}
	if err != nil {
		return nil, fmt.Errorf("%s is neither a folder nor a CAR file to publish: %w; 'ipns add' adds a single file", path, err)
	}
	return func(n rpc.Caller) adder {
		return func(ctx context.Context, keepFor string, onlyHash bool) (cid.Cid, error) {
			if onlyHash {
				return roots[0], nil
			}
			return roots[0], importCAR(ctx, n, path, roots[0], keepFor)
		}
	}, nil
}

// addFolder adds and pins a folder, and lists what it left out.
func (c *cli) addFolder(ctx context.Context, n rpc.Caller, r repo.Repo, o upOptions, keepFor string, onlyHash bool) (root string, err error) {
	bar := c.adding()
	defer bar.end()
	rules, err := folder.ReadSiteRules(o.dir)
	if err != nil {
		return "", err
	}
	var left leftOut
	var s source
	version := 1
	req := api.AddRequest{Pin: !onlyHash, OnlyHash: onlyHash, CIDVersion: &version, Progress: bar.visible()}
	if !onlyHash {
		req.PinName = pinName(keepFor)
	}
	req.Files = s.watch(tree(o.dir, o.walk(r, rules, &left)))
	for a, err := range rpc.Call(ctx, n, api.Add, req) {
		if err := s.cause(err); err != nil {
			return "", err
		}
		bar.file(a.Name, a.Bytes)
		root = a.Hash
	}
	bar.clear()
	left.print(c.errOut)
	return root, s.cause(nil)
}

// importCAR imports a CAR file, and pins its root unless it is pinned.
func importCAR(ctx context.Context, n rpc.Caller, path string, root cid.Cid, keepFor string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	req := rpc.New[api.DagImportRequest]()
	pins := keepFor == ""
	req.PinRoots = &pins
	req.Give(func(yield func(api.File, error) bool) { yield(api.File{Path: path, Body: f}, nil) })
	for res, err := range rpc.Call(ctx, n, api.DagImport, req) {
		if err != nil {
			return err
		}
		if res.Root != nil && res.Root.PinErrorMsg != "" {
			return fmt.Errorf("pin %s: %s", res.Root.Cid, res.Root.PinErrorMsg)
		}
	}
	if keepFor == "" {
		return nil
	}
	pin := rpc.New[api.PinAddRequest]()
	pin.Paths, pin.Name = []string{"/ipfs/" + root.String()}, pinName(keepFor)
	_, err = rpc.Do(ctx, n, api.PinAdd, pin)
	return err
}
