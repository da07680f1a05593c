// Package idtoken is the way on which package helseid makes a validator of ID tokens
// that shares its metadata, so that one client fetches it once. Package
// tokenvalidation cannot offer it: the types of this are internal.
package idtoken
