package cli

import "flag"

// counts are the flags of a set whose values count how often they are set.
type counts []*counted

// counted stands in for the value of a flag while the command line is read.
type counted struct {
	flag.Value
	flag  *flag.Flag
	times int
}

// Set implements [flag.Value]. It does not refuse the second time: the flag package would
// quote the value, which may be a body with personal data.
func (c *counted) Set(value string) error {
	c.times++
	return c.Value.Set(value)
}

// IsBoolFlag tells the flag package that the flag needs no value.
func (c *counted) IsBoolFlag() bool {
	boolean, ok := c.Value.(interface{ IsBoolFlag() bool })
	return ok && boolean.IsBoolFlag()
}

// count begins to count the flags that take one value.
func (f *Flags) count() counts {
	var all counts
	f.VisitAll(func(declared *flag.Flag) {
		if f.repeatable[declared.Name] {
			return
		}
		c := &counted{Value: declared.Value, flag: declared}
		declared.Value = c
		all = append(all, c)
	})
	return all
}

// end puts the values back and names the flags that were set more than once.
func (c counts) end() (repeated []string) {
	for _, one := range c {
		one.flag.Value = one.Value
		if one.times > 1 {
			repeated = append(repeated, one.flag.Name)
		}
	}
	return repeated
}
