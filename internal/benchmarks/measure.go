package main

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"
)

// task is one thing to be measured.
type task struct {
	// batch prepares n runs, which is not measured, and returns what does them.
	batch func(n int) (run func() error, err error)

	atLeast int // runs in a batch

	n       int       // runs in a batch
	nanos   []float64 // of one run, by round
	mallocs float64   // of one run
	bytes   float64   // allocated by one run
}

// plain is a task that needs no preparation.
func plain(run func() error) *task {
	return &task{batch: func(n int) (func() error, error) {
		return func() error {
			for range n {
				if err := run(); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}}
}

// prepared is a task whose every run needs an input of its own.
func prepared[T any](make func() (T, error), run func(T) error) *task {
	return &task{batch: func(n int) (func() error, error) {
		inputs := []T{}
		for range n {
			input, err := make()
			if err != nil {
				return nil, err
			}
			inputs = append(inputs, input)
		}
		return func() error {
			for _, input := range inputs {
				if err := run(input); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}}
}

const maxBatch = 100_000

// once runs a batch and returns its time, and its allocations and their bytes.
func (t *task) once() (elapsed time.Duration, mallocs, bytes uint64, err error) {
	run, err := t.batch(t.n)
	if err != nil {
		return 0, 0, 0, err
	}
	runtime.GC() // so that nobody pays for another's garbage
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	err = run()
	elapsed = time.Since(start)
	runtime.ReadMemStats(&after)
	return elapsed, after.Mallocs - before.Mallocs, after.TotalAlloc - before.TotalAlloc, err
}

// calibrate finds how many runs take about this long. The first does not count:
// it fetches keys.
func (t *task) calibrate(aim time.Duration) error {
	t.n = max(1, t.atLeast)
	if _, _, _, err := t.once(); err != nil {
		return err
	}
	for {
		elapsed, _, _, err := t.once()
		if err != nil {
			return err
		}
		if elapsed >= aim/2 || t.n >= maxBatch {
			t.n = max(1, t.atLeast, min(maxBatch, int(float64(t.n)*float64(aim)/float64(max(1, elapsed)))))
			return nil
		}
		t.n = min(maxBatch, t.n*max(2, min(50, int(aim/max(1, elapsed)))))
	}
}

// measure runs all tasks in turn, round after round, so that whatever else the
// machine does hits all of them alike. Each round has an order of its own, so that
// none always runs after the same other, which leaves caches and threads behind.
func measure(tasks []*task, rounds int, batch time.Duration) error {
	for _, t := range tasks {
		if err := t.calibrate(batch); err != nil {
			return err
		}
	}
	order := slices.Clone(tasks)
	random := rand.New(rand.NewPCG(1, 2)) // the same in each run
	for round := range rounds {
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, t := range order {
			elapsed, mallocs, bytes, err := t.once()
			if err != nil {
				return err
			}
			t.nanos = append(t.nanos, float64(elapsed)/float64(t.n))
			perRun := float64(mallocs) / float64(t.n)
			if round == 0 || perRun < t.mallocs {
				t.mallocs = perRun
			}
			if perRun := float64(bytes) / float64(t.n); round == 0 || perRun < t.bytes {
				t.bytes = perRun
			}
		}
	}
	return nil
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// time is the median of the rounds, in nanoseconds.
func (t *task) time() float64 { return median(t.nanos) }

// ratio is the median of the rounds' ratios: two tasks of one round ran under
// the same conditions.
func ratio(of, to *task) float64 {
	ratios := make([]float64, 0, len(of.nanos))
	for i := range min(len(of.nanos), len(to.nanos)) {
		ratios = append(ratios, of.nanos[i]/to.nanos[i])
	}
	return median(ratios)
}

// duration writes nanoseconds for a reader.
func duration(nanos float64) string {
	switch {
	case nanos >= 1e6:
		return fmt.Sprintf("%.2f ms", nanos/1e6)
	case nanos >= 1e5:
		return fmt.Sprintf("%.0f µs", nanos/1e3)
	case nanos >= 1e3:
		return fmt.Sprintf("%.1f µs", nanos/1e3)
	}
	return fmt.Sprintf("%.0f ns", nanos)
}
