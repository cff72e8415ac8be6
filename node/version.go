package node

// Release is the version of the program.
const Release = "0.1.0"

// Agent is how this node calls itself to others.
const Agent = "goipns/" + Release
