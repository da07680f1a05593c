package identity

// HPRNumber is a number in the register of health personnel
// (Helsepersonellregisteret).
type HPRNumber string

// Valid reports whether the number has one to nine digits and does not start
// with zero.
func (n HPRNumber) Valid() bool { return isDigits(string(n), 1, 9) && n[0] != '0' }

// HPRDetails are a person's entries in the register of health personnel.
type HPRDetails struct {
	// HPRNumber is the person's number, or "".
	HPRNumber HPRNumber

	// NoHPRNumber is HelseID's claim no_hpr_number.
	NoHPRNumber bool

	// Approvals are the person's approvals, one for each profession.
	Approvals []HPRApproval
}

// HPRApproval is an authorisation or licence in one profession.
type HPRApproval struct {
	// Profession is the code of the profession, such as "LE" for physicians.
	Profession string

	// Authorization is the kind of the approval.
	Authorization HPRCode

	// RequisitionRights are the rights to prescribe.
	RequisitionRights []HPRCode

	// Specialities are the approved specialities.
	Specialities []HPRCode
}

// HPRCode is a code of the register with its text.
type HPRCode struct {
	Value, Description string
}
