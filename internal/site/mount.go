package site

// mount says what a file system does not do as a local disk does.
type mount struct {
	name      string
	silent    bool // others than this machine, or than this mount, change files without an event
	elsewhere bool // its times are those of another machine
}
