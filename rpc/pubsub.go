package rpc

// PubsubStateRequest asks whether names travel by pubsub here.
type PubsubStateRequest struct{}

// PubsubState says whether names travel by pubsub here.
type PubsubState struct{ Enabled bool }

// Text is one word.
func (PubsubStateRequest) Text(s PubsubState) string {
	if s.Enabled {
		return "enabled\n"
	}
	return "disabled\n"
}

// PubsubSubsRequest asks which names are listened for.
type PubsubSubsRequest struct {
	IPNSBase string `opt:"ipns-base" default:"base36" help:"encoding of the printed names"`
}

// PubsubSubs are the names that are listened for, as paths; nil: none.
type PubsubSubs struct{ Strings []string }

// Text is one name a line.
func (PubsubSubsRequest) Text(s PubsubSubs) string {
	return Strings(s).lines()
}

// PubsubCancelRequest stops listening for a name.
type PubsubCancelRequest struct {
	Name string `arg:"name"`
}

// PubsubCanceled says whether the name was listened for.
type PubsubCanceled struct{ Canceled bool }

// Text is a few words.
func (PubsubCancelRequest) Text(c PubsubCanceled) string {
	if c.Canceled {
		return "canceled\n"
	}
	return "no subscription\n"
}
