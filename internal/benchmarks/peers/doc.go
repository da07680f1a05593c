// Package peers does with other libraries what the SDK does, each set up as its
// documentation says and with as many rules of HelseID's as it has options for.
// What a library leaves to its user and is easily written by hand (the rules of
// a DPoP proof, on a JOSE library) is written by hand here; what it does not
// check at all is in the notes.
package peers
