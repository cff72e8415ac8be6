package backup

const (
	noFollow = 0
	// closeFirst says that a file that is open can be neither renamed nor removed. Its lock
	// then ends a moment early.
	closeFirst = true
)
