// Command rotationkill kills processes that replace a client's key with SIGKILL, at each
// step of the replacement, while another instance with the same store makes calls:
//
//	go run ./internal/rotationkill          a hundred times at each step
//	go run ./internal/rotationkill -n 10
//
// A step is the time before or after one request, or one save. For both behaviours that
// HelseID may have, with the old key living on and dying at once, it tells how many calls
// of the other instance were lost, how many processes could not go on when they were
// started again, and how many keys HelseID knows that the store does not (orphans). It
// fails if a call was lost, a process was locked out, there was more than one orphan after
// a kill, or one was not reported.
//
// Its test kills once at each step. It needs a Unix system.
package main
