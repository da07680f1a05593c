// Package repository has the tests of the repository as a whole: its layers and
// dependencies, what the documentation of packages promises, which names pages and
// comments mention, and that nothing prints a secret.
package repository
