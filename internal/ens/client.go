package ens

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Limits of one request.
const (
	requestTimeout = 20 * time.Second
	maxAnswer      = 1 << 20 // bytes
	maxMessage     = 300     // bytes of an error of the node that are passed on
)

// Client asks an Ethereum node over JSON-RPC. It has no state and may be shared.
type Client struct {
	// URL is where the node takes requests. It may hold a key, which no error shows.
	URL string
	// HTTP makes the requests; nil: one that follows no redirect.
	HTTP *http.Client
}

// revertError is the answer of a contract that refuses a call.
type revertError struct {
	message string
	data    []byte
}

func (e *revertError) Error() string { return "the contract refuses: " + e.message }

func (c *Client) chain(ctx context.Context) (uint64, error) {
	var text string
	if err := c.request(ctx, &text, "eth_chainId"); err != nil {
		return 0, fmt.Errorf("ask for the chain: %w", err)
	}
	id, err := strconv.ParseUint(strings.TrimPrefix(text, "0x"), 16, 64)
	if err != nil {
		return 0, fmt.Errorf("the node at %s says that it is on chain %q", c.host(), text)
	}
	return id, nil
}

// call calls a contract as of the newest block. An answer of no bytes means that there is
// no such contract or function.
func (c *Client) call(ctx context.Context, to string, data []byte) ([]byte, error) {
	var text string
	err := c.request(ctx, &text, "eth_call", map[string]string{"to": to, "data": "0x" + hex.EncodeToString(data)}, "latest")
	if err != nil {
		return nil, err
	}
	b, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
	if err != nil {
		return nil, fmt.Errorf("the node at %s answers no hex: %w", c.host(), err)
	}
	return b, nil
}

func (c *Client) request(ctx context.Context, into any, method string, params ...any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		return errors.New("the address of the Ethereum node is no URL")
	}
	req.Header.Set("Content-Type", "application/json")
	client := c.HTTP
	if client == nil {
		client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("redirected elsewhere") }}
	}
	resp, err := client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the URL
		}
		return fmt.Errorf("ask the Ethereum node at %s: %w", c.host(), err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("read the answer of the Ethereum node at %s: %w", c.host(), err)
	}
	if len(b) > maxAnswer {
		return fmt.Errorf("the answer of the Ethereum node at %s has more than %d bytes", c.host(), maxAnswer)
	}
	var answer struct {
		Result json.RawMessage
		Error  *struct {
			Message string
			Data    json.RawMessage
		}
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return fmt.Errorf("the Ethereum node at %s answers %s and no JSON", c.host(), resp.Status)
	}
	if answer.Error != nil {
		return c.refused(answer.Error.Message, answer.Error.Data)
	}
	if err := json.Unmarshal(answer.Result, into); err != nil {
		return fmt.Errorf("the Ethereum node at %s has no answer to %s: %s", c.host(), method, resp.Status)
	}
	return nil
}

// refused is the error that a node answers: that of a contract, if there is data with it.
func (c *Client) refused(message string, data json.RawMessage) error {
	message = message[:min(len(message), maxMessage)]
	var text string
	if json.Unmarshal(data, &text) == nil {
		if b, err := hex.DecodeString(strings.TrimPrefix(text, "0x")); err == nil && len(b) > 0 {
			return &revertError{message, b}
		}
	}
	return fmt.Errorf("the Ethereum node at %s refuses: %s", c.host(), message)
}

// host is what of the URL may be shown.
func (c *Client) host() string {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" {
		return "its address"
	}
	return u.Host
}
