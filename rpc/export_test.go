package rpc

// MaxUpload is what tests look at from outside.
const MaxUpload = maxUpload
