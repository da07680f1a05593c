// Package doctor is the command "helseid doctor": it goes step by step from the
// configuration file to the call of an API, and says for each what is wrong and what
// mends it.
package doctor
