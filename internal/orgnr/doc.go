// Package orgnr checks Norwegian organisation numbers.
package orgnr
