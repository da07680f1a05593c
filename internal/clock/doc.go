// Package clock measures how long ago something happened when no clock is reliable: the
// wall clock can be set, also back, and the process's own (monotonic) clock stops while
// the machine sleeps.
package clock
