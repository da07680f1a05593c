// Package sdk is the SDK for HelseID, the OAuth 2.0 and OpenID Connect server of the
// Norwegian health sector: clients, web logins, protected APIs, and a HelseID for tests.
//
// This package itself is empty. Import one of these:
//
//   - [github.com/helseid-go/sdk/helseid]: a client that gets tokens from
//     HelseID and calls APIs with them.
//   - [github.com/helseid-go/sdk/helseid/identity]: the types for people,
//     organisations and levels that all of these use.
//   - [github.com/helseid-go/sdk/helseid/weblogin]: login, callback and logout for
//     web applications.
//   - [github.com/helseid-go/sdk/helseid/selvbetjening]: a client's own keys and
//     registration, in HelseID Selvbetjening.
//   - [github.com/helseid-go/sdk/middleware]: protects an API with HelseID.
//   - [github.com/helseid-go/sdk/helseid/helseidtest]: a HelseID for tests, and
//     [github.com/helseid-go/sdk/helseid/helseidtest/mint]: options for the tokens
//     that it makes.
//   - [github.com/helseid-go/sdk/helseid/redisstore]: tokens, sessions and used
//     proofs that processes share, on Redis or Valkey; a module of its own.
//   - [github.com/helseid-go/sdk/middleware/grpcauth] and
//     [github.com/helseid-go/sdk/helseid/grpccredentials]: gRPC servers and clients;
//     modules of their own.
//   - [github.com/helseid-go/sdk/helseid/otelhelseid]: metrics and spans for
//     OpenTelemetry; a module of its own.
//   - [github.com/helseid-go/sdk/tokenvalidation],
//     [github.com/helseid-go/sdk/dpop] and
//     [github.com/helseid-go/sdk/clientassertion]: the parts of which the others
//     are made.
package sdk
