// Package redact keeps secrets, tokens and national identity numbers out of
// everything people read: Hidden holds them, Unprintable guards structs that
// cannot hide them, and Text cleans what others have written.
package redact
