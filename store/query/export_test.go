package query

// SQL is the text and the arguments that a request becomes, for tests.
func (e *Engine) SQL(req Request) (sql string, args []any, err error) {
	a, err := e.answer(&req)
	if err != nil {
		return "", nil, err
	}
	st := a.rows()
	return st.sql, st.args, nil
}

// TotalSQL is the statement that counts.
func (e *Engine) TotalSQL(req Request) (sql string, args []any, err error) {
	a, err := e.answer(&req)
	if err != nil {
		return "", nil, err
	}
	st := a.total()
	return st.sql, st.args, nil
}

// InSpools is how many bytes of answers are in files.
func (e *Engine) InSpools() int64 { return e.inSpools.Load() }
