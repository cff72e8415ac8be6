package node

// Release is the version of the program.
const Release = "0.1.0"

// Agent is the agent version that other nodes see.
const Agent = "goipns/" + Release
