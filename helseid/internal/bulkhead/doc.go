// Package bulkhead bounds the requests of one kind: how many are under way, how
// many wait, and how often HelseID is asked while it is in trouble. Requests of
// different kinds do not affect each other.
package bulkhead
