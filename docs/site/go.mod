module github.com/goipns/ipns/docs/site

go 1.26.0

require github.com/yuin/goldmark v1.8.2

require golang.org/x/net v0.59.0 // indirect
