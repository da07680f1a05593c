// Package sdk holds no code. The packages of the HelseID SDK are:
//
//   - [github.com/helseid-go/sdk/helseid]: a client that gets tokens from
//     HelseID and calls APIs with them.
//   - [github.com/helseid-go/sdk/helseid/weblogin]: login, callback and logout for
//     web applications.
//   - [github.com/helseid-go/sdk/helseid/selvbetjening]: a client's own keys and
//     registration, in HelseID Selvbetjening.
//   - [github.com/helseid-go/sdk/middleware]: the way in to an API that HelseID
//     protects.
//   - [github.com/helseid-go/sdk/helseid/helseidtest]: a HelseID for tests, and
//     [github.com/helseid-go/sdk/helseid/helseidtest/mint]: the tokens that it
//     mints.
//   - [github.com/helseid-go/sdk/helseid/redisstore]: what processes share, on
//     Redis or Valkey; a module of its own.
//   - [github.com/helseid-go/sdk/helseid/otelhelseid]: metrics and spans for
//     OpenTelemetry; a module of its own.
//   - [github.com/helseid-go/sdk/tokenvalidation],
//     [github.com/helseid-go/sdk/dpop] and
//     [github.com/helseid-go/sdk/clientassertion]: what those are made of.
package sdk
