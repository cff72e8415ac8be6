package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/rpc"
)

// ownName is what the program is called where nobody gave it Kubo's name.
const ownName = "ipns"

// kubosName is the name under which it stands in for Kubo's program: it then uses the repo
// of IPFS_PATH, and calls itself so.
const kubosName = "ipfs"

// called returns the name under which the program was started.
func called() string {
	if strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe") == kubosName {
		return kubosName
	}
	return ownName
}

// repository returns the repo that the command works on.
func (c *cli) repository() (repo.Repo, error) {
	switch {
	case c.repoDir != "":
		return repo.At(c.repoDir)
	case c.name == kubosName:
		return kubosRepo()
	}
	return repo.Default()
}

// kubosRepo is $IPFS_PATH, else the repo of this program if there is one, else ~/.ipfs.
func kubosRepo() (repo.Repo, error) {
	if p := os.Getenv("IPFS_PATH"); p != "" {
		return repo.At(p)
	}
	r, err := repo.Default()
	if err != nil || os.Getenv("IPNS_PATH") != "" || r.Exists() {
		return r, err
	}
	return repo.At("~/.ipfs")
}

// renamed is text of the program's own, in which the commands that it names, 'ipns …', are
// called as the program is.
func (c *cli) renamed(text string) string {
	if c.name == ownName {
		return text
	}
	return strings.ReplaceAll(text, "'"+ownName+" ", "'"+c.name+" ")
}

// notes is a writer for errors and notes, which name the program as it is called.
type notes struct {
	io.Writer
	c *cli
}

func (n notes) Write(p []byte) (int, error) {
	if _, err := io.WriteString(n.Writer, n.c.renamed(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// rename makes a command's help call the program as it is called.
func (c *cli) rename(cmd *cobra.Command) {
	if c.name == ownName {
		return
	}
	cmd.Long = c.renamed(cmd.Long)
	cmd.Example = strings.ReplaceAll(cmd.Example, "  "+ownName+" ", "  "+c.name+" ")
	for _, sub := range cmd.Commands() {
		c.rename(sub)
	}
}

// kubosAPI is the version of Kubo whose commands and API these are.
const kubosAPI = "0.43.0"

// versions is the text of all versions.
func (c *cli) versions(v api.NodeVersion) string {
	text := api.VersionRequest{All: true}.Text(v)
	if c.name == kubosName { // scripts look for this line
		text += "Kubo version: " + kubosAPI + " (whose API this is)\n"
	}
	return strings.Replace(text, ownName, c.name, 1)
}

// version prints the version under the name of the program.
func (c *cli) version(ctx context.Context, n rpc.Caller, _ rpc.Spec, req any) error {
	r := *req.(*api.VersionRequest)
	v, err := rpc.Do(ctx, n, api.Version, r)
	if err != nil {
		return err
	}
	text := strings.Replace(r.Text(v), ownName, c.name, 1)
	if r.All {
		text = c.versions(v)
	}
	return c.print(v, text)
}
