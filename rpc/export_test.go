package rpc

// What tests with the commands of package api look at from outside.
var (
	Decode        = decode
	Encode        = encode
	ParseDuration = parseDuration
)

const MaxUpload = maxUpload

type OptionError = optionError
