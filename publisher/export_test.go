package publisher

// Steps are the points of a publish at which a test can fail it, in their order.
var Steps = []string{
	string(stepRead), string(stepReserve), string(stepReserved), string(stepSign), string(stepSigned), string(stepEnter), string(stepEntered),
	string(stepAnswer), string(stepAnnounce), string(stepAck), string(stepAnnounced), string(stepNote), string(stepNoted), string(stepAnswerAcks),
}

// SetStep has f called at each of the Steps.
func (p *Publisher) SetStep(f func(string) error) { p.at = func(s step) error { return f(string(s)) } }
