// Package testkit has what the tests of several packages need: keys, a clock, a log that
// is looked at, keys in a KMS.
package testkit
