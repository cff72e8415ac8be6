package delegated

import "time"

// SetTimeout changes Config.Timeout of a client that is not in use.
func (c *Client) SetTimeout(d time.Duration) { c.config.Timeout = d }
