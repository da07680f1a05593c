// Package lab makes what the benchmarks work on: an issuer with an RSA key of
// any size, tokens in HelseID's form, proofs, and requests that carry both.
package lab
