package recordstore

import (
	"encoding/json"
	"fmt"

	"github.com/goipns/ipns/routing"
)

// EncodeReceipt returns the bytes in which a store keeps a receipt: its JSON. If
// that is more than MaxReceipt, the targets are left out. The zero Receipt has none.
func EncodeReceipt(r routing.Receipt) ([]byte, error) {
	if len(r.Networks) == 0 {
		return nil, nil
	}
	b, err := json.Marshal(r)
	if err == nil && len(b) > MaxReceipt {
		b, err = json.Marshal(r.Figures())
	}
	if err == nil && len(b) > MaxReceipt {
		err = fmt.Errorf("%d bytes without its targets, the limit is %d", len(b), MaxReceipt)
	}
	if err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	return b, nil
}

// DecodeReceipt reads what EncodeReceipt wrote.
func DecodeReceipt(b []byte) (r routing.Receipt, err error) {
	if len(b) == 0 {
		return r, nil
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return routing.Receipt{}, fmt.Errorf("receipt: %w", err)
	}
	return r, nil
}
