// Package redact keeps secrets, tokens and national identity numbers out of all output:
// Hidden holds them, Unprintable protects structs that cannot hide them, and Text
// cleans text from outside.
package redact
