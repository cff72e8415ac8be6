package repo

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"

	"github.com/goipns/ipns/internal/durable"
)

// movedFile says where the names of the repo are, if they are not in its database.
const movedFile = "names-at"

// moving begins that file while the names are being moved there, and no store is in use.
const moving = "moving to "

// concealed takes the place of a password.
const concealed = "xxxxx"

// CheckStore checks that a value of Ipns.Store is one that can be used. Its error does not
// repeat the value, in which a password may be.
func CheckStore(store string) error {
	if store == "" {
		return nil
	}
	if !strings.HasPrefix(store, "postgres://") && !strings.HasPrefix(store, "postgresql://") {
		return errors.New("it is not the URL of a database of PostgreSQL, which begins with postgres://")
	}
	if _, err := url.Parse(store); err != nil {
		return errors.New("it is not a URL: in a password, characters other than letters and digits are written as %XX")
	}
	return nil
}

// ShownStore is a value of Ipns.Store without its passwords, to be shown.
func ShownStore(store string) string {
	u, err := url.Parse(store)
	if err != nil {
		return "a database whose URL cannot be read"
	}
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), concealed)
	}
	query := u.Query()
	hides := false
	for key := range query {
		if strings.Contains(strings.ToLower(key), "password") {
			query.Set(key, concealed)
			hides = true
		}
	}
	if hides {
		u.RawQuery = query.Encode()
	}
	return u.String()
}

// NamesAt returns where the names of the repo are, as ShownStore shows it, if they are not
// in its own database: then "". A repo that says so must not use its own: the names there are
// old, or none. While they are being moved there, it must use neither.
func (r Repo) NamesAt() (at string, isMoving bool, err error) {
	b, err := os.ReadFile(r.path(movedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("read where the names are: %w", err)
	}
	at, isMoving = strings.CutPrefix(strings.TrimSpace(string(b)), moving)
	return at, isMoving, nil
}

// SetNamesMoving stores that the names of the repo are being moved from its own database to
// that which a value of Ipns.Store names. Hold the lock.
func (r Repo) SetNamesMoving(store string) error {
	if err := durable.Replace(r.path(movedFile), []byte(moving+ShownStore(store)+"\n"), 0o600); err != nil {
		return fmt.Errorf("write where the names are: %w", err)
	}
	return nil
}

// SetNamesAt stores that the names of the repo are in the database that a value of Ipns.Store
// names; "": they are in its own. Hold the lock.
func (r Repo) SetNamesAt(store string) (err error) {
	if store == "" {
		if err = os.Remove(r.path(movedFile)); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			err = durable.SyncDir(string(r))
		}
	} else {
		err = durable.Replace(r.path(movedFile), []byte(ShownStore(store)+"\n"), 0o600)
	}
	if err != nil {
		err = fmt.Errorf("write where the names are: %w", err)
	}
	return err
}
