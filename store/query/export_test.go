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
