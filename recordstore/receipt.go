package recordstore

import (
	"encoding/json"
	"fmt"

	"github.com/goipns/ipns/routing"
)

// EncodeReceipt returns a receipt as JSON, the form in which stores keep it, without
// its targets if it would exceed MaxReceipt bytes. The zero Receipt has no bytes.
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
