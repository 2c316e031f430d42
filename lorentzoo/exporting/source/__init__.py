"""Networks of dense layers as source code in C and Fortran, for event generators."""
