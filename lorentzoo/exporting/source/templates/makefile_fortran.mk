# make -f @STEM@.mk            the module's object file, and the example program
# make -f @STEM@.mk check      compares it with the golden numbers
# Without -march=native the files run on any processor of the kind, and are two to three times as slow.
FC = gfortran
OPTIMISE ?= -O3 -march=native -fno-math-errno -fno-trapping-math
NAME = @STEM@

all: $(NAME)_example_f90

$(NAME).o: $(NAME).f90
	$(FC) -std=f2008 $(OPTIMISE) -fPIC -c $< -o $@

$(NAME)_example_f90: $(NAME)_example.f90 $(NAME).o
	$(FC) -std=f2008 $(OPTIMISE) $^ -o $@

check: $(NAME)_example_f90
	./$(NAME)_example_f90

clean:
	rm -f $(NAME).o lz_@MODULE@.mod $(NAME)_example_f90

.PHONY: all check clean
