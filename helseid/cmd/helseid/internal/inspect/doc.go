// Package inspect is the command "helseid inspect": it says what is in a token, a proof,
// a key or a configuration file, and which rules it breaks.
//
// The SDK's own validators are the judges. They stop at the first fault, so each rule is
// judged by a twin: a token or proof that keeps every rule, but for the members of that
// rule, which are taken from what is inspected. At the end the validator is asked about
// the whole, and its verdict counts.
package inspect
