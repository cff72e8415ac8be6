package request

// ParseDuration is what tests look at from outside.
var ParseDuration = parseDuration
