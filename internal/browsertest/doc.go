// Package browsertest drives the example programs with Chromium: it builds
// examples/weblogin, examples/localhelseid and examples/api, runs them on
// loopback and does what users do.
//
//	apt-get update && apt-get install -y chromium
//	go -C internal/browsertest test ./...
//	go -C internal/browsertest test ./... -screenshots /tmp/shots
//
// It is a module of its own, so that nobody who uses the SDK gets a browser's
// driver with it. The tests fail where there is no Chromium.
package browsertest
