# make -f @STEM@.mk            the library lib@STEM@.so, and the example programs
# make -f @STEM@.mk check      compares them with the golden numbers
# Without -march=native the files run on any processor of the kind, and are two to three times as slow.
CC ?= cc
CXX ?= c++
FC = gfortran
OPTIMISE ?= -O3 -march=native -ffp-contract=fast -fno-math-errno -fno-trapping-math
NAME = @STEM@
FORTRAN := $(shell command -v $(FC) 2>/dev/null)
EXAMPLES = $(NAME)_example_c $(NAME)_example_cpp $(if $(FORTRAN),$(NAME)_example_f90)

all: lib$(NAME).so $(EXAMPLES)

$(NAME).o: $(NAME).c $(NAME).h
	$(CC) -std=c99 $(OPTIMISE) -fPIC -c $< -o $@

lib$(NAME).so: $(NAME).o
	$(CC) -shared $< -o $@ -lm

$(NAME)_example_c: $(NAME)_example.c $(NAME).o
	$(CC) -std=c99 $(OPTIMISE) $^ -o $@ -lm

$(NAME)_example_cpp: $(NAME)_example.cpp $(NAME).o
	$(CXX) -std=c++11 $(OPTIMISE) $^ -o $@ -lm

$(NAME)_example_f90: $(NAME)_example.f90 $(NAME).o
	$(FC) -std=f2008 $(OPTIMISE) $^ -o $@ -lm

check: $(EXAMPLES)
	for example in $(EXAMPLES); do echo $$example; ./$$example || exit 1; done

clean:
	rm -f $(NAME).o lib$(NAME).so $(EXAMPLES)

.PHONY: all check clean
