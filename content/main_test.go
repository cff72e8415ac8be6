package content

import (
	"testing"

	"github.com/goipns/ipns/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.VerifyMain(m) }
