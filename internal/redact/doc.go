// Package redact holds the text transformations that keep tokens and national
// identity numbers out of everything people read.
package redact
