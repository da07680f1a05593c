// Package clock tells how long ago something was when clocks are not to be
// trusted: the wall clock can be set, also back, and the process's own (monotonic)
// clock stands still while the machine sleeps.
package clock
