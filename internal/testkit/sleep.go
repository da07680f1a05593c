package testkit

import "time"

// Sleep lets time pass in a bubble of testing/synctest. Outside of one it panics: a test
// that waits in real time is slow where it passes and fails where a machine is busy.
func Sleep(d time.Duration) {
	start := time.Now()
	time.Sleep(d)                                      //nolint:forbidigo // which is what this is for
	if took := time.Since(start); d > 0 && took != d { // a bubble's clock stands while anything runs
		panic("testkit.Sleep outside of a bubble of testing/synctest")
	}
}
