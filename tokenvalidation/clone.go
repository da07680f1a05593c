package tokenvalidation

import (
	"slices"
	"unsafe"
)

// clone copies everything that can be changed, so that a caller who changes it does
// not change the claims of the next request with the same token.
func (c *Claims) clone() *Claims {
	clone := *c
	clone.Audience = slices.Clone(c.Audience)
	clone.Scopes = slices.Clone(c.Scopes)
	clone.Malformed = slices.Clone(c.Malformed)
	clone.Actor = c.Actor.clone()
	if c.User != nil {
		user := *c.User
		user.AuthenticationMethods = slices.Clone(user.AuthenticationMethods)
		clone.User = &user
	}
	if c.Attest != nil {
		attest := *c.Attest
		attest.Patients = slices.Clone(attest.Patients)
		clone.Attest = &attest
	}
	return &clone
}

func (a *Actor) clone() *Actor {
	if a == nil {
		return nil
	}
	clone := *a
	clone.Actor = a.Actor.clone()
	return &clone
}

// footprint is how many bytes the claims take at most, of a token of this
// length. Their texts are pieces of its payload, which is three quarters of it,
// or unescaped copies, which are no longer than that.
func (c *Claims) footprint(length int) int {
	size := 2*length + int(unsafe.Sizeof(*c)) + c.object().Size()
	for _, texts := range [][]string{c.Audience, c.Scopes, c.Malformed} {
		size += cap(texts) * int(unsafe.Sizeof(""))
	}
	for _, name := range c.Malformed {
		size += len(name)
	}
	for actor := c.Actor; actor != nil; actor = actor.Actor {
		size += int(unsafe.Sizeof(*actor))
	}
	if c.User != nil {
		size += int(unsafe.Sizeof(*c.User)) + cap(c.User.AuthenticationMethods)*int(unsafe.Sizeof(""))
	}
	if c.Attest != nil {
		size += int(unsafe.Sizeof(*c.Attest)) + cap(c.Attest.Patients)*int(unsafe.Sizeof(Patient{}))
	}
	return size
}
