package pubsub

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/goipns/ipns"
)

// topicPrefix comes before the routing key in a topic.
const topicPrefix = "/record/"

// maxTopic is longer than the topic of any name.
const maxTopic = 128

// parseTopic returns the name whose topic it is. Specification IPNS PubSub Router.
func parseTopic(topic string) (ipns.Name, bool) {
	key, ok := strings.CutPrefix(topic, topicPrefix)
	if !ok || len(topic) > maxTopic {
		return ipns.Name{}, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(key)
	if err != nil {
		return ipns.Name{}, false
	}
	name, err := ipns.NameFromRoutingKey(raw)
	// One name has one topic: no line breaks, which base64 skips.
	if err != nil || name.Topic() != topic {
		return ipns.Name{}, false
	}
	return name, true
}

// Fields of the messages of the fetch protocol. The specification calls the identifier
// a string; it is bytes, a routing key.
const (
	requestIdentifier = 1
	answerStatus      = 1
	answerData        = 2

	statusOK       = 0
	statusNotFound = 1
)

var errMalformed = errors.New("message of the fetch protocol is malformed")

// appendRequest appends a FetchRequest with its length before it.
func appendRequest(b []byte, identifier []byte) []byte {
	b = protowire.AppendVarint(b, uint64(protowire.SizeTag(requestIdentifier)+protowire.SizeBytes(len(identifier))))
	b = protowire.AppendTag(b, requestIdentifier, protowire.BytesType)
	return protowire.AppendBytes(b, identifier)
}

// parseRequest returns the identifier of a FetchRequest.
func parseRequest(b []byte) (identifier []byte, err error) {
	err = fields(b, func(num protowire.Number, typ protowire.Type, v []byte) error {
		if num == requestIdentifier {
			if typ != protowire.BytesType {
				return errMalformed
			}
			identifier, _ = protowire.ConsumeBytes(v)
		}
		return nil
	})
	return identifier, err
}

// appendAnswer appends a FetchResponse with its length before it; nil data: not found.
func appendAnswer(b, data []byte) []byte {
	if data == nil {
		b = protowire.AppendVarint(b, uint64(protowire.SizeTag(answerStatus)+protowire.SizeVarint(statusNotFound)))
		b = protowire.AppendTag(b, answerStatus, protowire.VarintType)
		return protowire.AppendVarint(b, statusNotFound)
	}
	b = protowire.AppendVarint(b, uint64(protowire.SizeTag(answerData)+protowire.SizeBytes(len(data))))
	b = protowire.AppendTag(b, answerData, protowire.BytesType)
	return protowire.AppendBytes(b, data)
}

// parseAnswer returns the data of a FetchResponse; nil: not found.
func parseAnswer(b []byte) (data []byte, err error) {
	status := uint64(statusOK)
	err = fields(b, func(num protowire.Number, typ protowire.Type, v []byte) error {
		switch {
		case num == answerStatus && typ == protowire.VarintType:
			status, _ = protowire.ConsumeVarint(v)
		case num == answerData && typ == protowire.BytesType:
			data, _ = protowire.ConsumeBytes(v)
		case num == answerStatus, num == answerData:
			return errMalformed
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case status == statusNotFound:
		return nil, nil
	case status != statusOK:
		return nil, fmt.Errorf("peer answered with status %d", status)
	case data == nil:
		return nil, fmt.Errorf("%w: it says that there is a record, and has none", errMalformed)
	}
	return data, nil
}

// fields calls each for every field of a message, with the bytes that begin with its
// value.
func fields(b []byte, each func(num protowire.Number, typ protowire.Type, v []byte) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errMalformed
		}
		b = b[n:]
		size := protowire.ConsumeFieldValue(num, typ, b)
		if size < 0 {
			return errMalformed
		}
		if err := each(num, typ, b[:size]); err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}

// readMessage reads a message with its length before it, of at most max bytes.
func readMessage(r io.Reader, max int) ([]byte, error) {
	in := bufio.NewReaderSize(r, 512)
	size, err := binary.ReadUvarint(in)
	if err != nil {
		return nil, err
	}
	if size > uint64(max) {
		return nil, fmt.Errorf("%w: it has %d bytes, the limit is %d", errMalformed, size, max)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(in, b); err != nil {
		return nil, err
	}
	return b, nil
}
