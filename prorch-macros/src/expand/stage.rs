use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::Path;

use super::placed;
use crate::ast::{Member, Undo};
use crate::valid::GoodStage;

impl GoodStage {
    /// The member at whose place it is said what is wrong with the stage.
    pub(super) fn place(&self) -> &Member {
        &self.members()[0]
    }

    /// What a pipeline that begins with it is started with.
    pub(super) fn input(&self, private: &TokenStream) -> TokenStream {
        let input = self.place().input(private);
        match self {
            Self::One(_) | Self::Group(_) => input,
            Self::Each(..) => quote!(::std::vec::Vec<#input>),
        }
    }

    /// What it hands on.
    pub(super) fn output(&self, private: &TokenStream) -> TokenStream {
        let outputs = self.members().iter().map(|member| member.output(private));
        match self {
            Self::One(_) => quote!(#(#outputs)*),
            Self::Group(_) => quote!((#(#outputs),*)),
            Self::Each(member, _) => member.around(&quote!(::std::vec::Vec), &quote!(#(#outputs)*)),
        }
    }

    /// The type that says what it hands on and how that is read.
    pub(super) fn marker(&self, private: &TokenStream) -> TokenStream {
        match self {
            Self::One(member) => member.marker(private),
            Self::Group(members) => {
                let members = members.iter().map(|member| member.marker_in_group(private));
                quote!((#(#members),*))
            }
            Self::Each(member, _) => member.around(&quote!(#private::Each), &member.marker(private)),
        }
    }

    /// The call that makes it, after what `before` marks. The name of a step or a pipeline is an argument of that call: what
    /// is wrong with it is then told once.
    pub(super) fn make(&self, private: &TokenStream, before: &TokenStream) -> TokenStream {
        let place = self.place();
        let between = place.place(&quote!(_));
        match self {
            Self::One(member) => {
                let (function, types) = member.maker(["step", "run", "run_undone_by"]);
                member.call(&quote!(#private::Stage::#function), &quote!(#types, #before, #between))
            }
            Self::Group(members) => {
                let marker = self.marker(private);
                let members = members.iter().map(|member| member.make(private, before));
                quote!(#private::Stage::group::<#marker>(::std::vec![#(#members),*]))
            }
            Self::Each(member, concurrency) => {
                let (function, types) = member.maker(["each", "each_run", "each_run_undone_by"]);
                let (function, item) =
                    (quote!(#private::Stage::#function), member.around(&quote!(#private::ItemOf), before));
                member.call_with(&function, &quote!(#types, #item, #between), &quote!(#concurrency))
            }
        }
    }
}

/// What is named in the list: the code that is made of it seems to stand where the name stands.
pub(super) trait Named {
    fn path(&self) -> &Path;

    /// Its type. In parentheses, so that the name of a function is seen to be no type, and not taken for a constant.
    fn ty(&self) -> TokenStream {
        let (begin, _) = self.ends();
        let mut group = Group::new(Delimiter::Parenthesis, self.path().to_token_stream());
        group.set_span(begin);
        TokenTree::from(group).into()
    }

    /// An item of the pipeline's `impl`. Placed as a whole: the compiler tells what is wrong with such a type twice, at
    /// the type and at the item, and says it once when both are at one place.
    fn type_item(&self, item: TokenStream, ty: &TokenStream) -> TokenStream {
        let (open, close) = (self.place(&quote!(#item =)), self.place(&quote!(;)));
        quote!(#open #ty #close)
    }

    /// A call that seems to stand where the path stands; its type arguments keep their places.
    fn call(&self, function: &TokenStream, types: &TokenStream) -> TokenStream {
        self.call_with(function, types, &TokenStream::new())
    }

    fn call_with(&self, function: &TokenStream, types: &TokenStream, values: &TokenStream) -> TokenStream {
        let (open, close) = (self.place(&quote!(#function::<)), self.place(&quote!(>(#values))));
        quote!(#open #types #close)
    }

    /// A type with this argument. It seems to stand where the path stands: what is wrong with the argument, which is told
    /// at it, is then not told a second time.
    fn around(&self, ty: &TokenStream, argument: &TokenStream) -> TokenStream {
        let (open, close) = (self.place(&quote!(#ty<)), self.place(&quote!(>)));
        quote!(#open #argument #close)
    }

    /// These tokens, as if they stood where the path stands.
    fn place(&self, tokens: &TokenStream) -> TokenStream {
        let (begin, end) = self.ends();
        let mut tokens: Vec<TokenTree> = placed(tokens.clone(), begin).into_iter().collect();
        if let Some(last) = tokens.last_mut() {
            last.set_span(end);
        }
        tokens.into_iter().collect()
    }

    /// The places of the path's first and last token.
    fn ends(&self) -> (Span, Span) {
        let mut places = self.path().to_token_stream().into_iter().map(|token| token.span());
        let begin = places.next().unwrap_or_else(Span::call_site);
        (begin, places.last().unwrap_or(begin))
    }
}

impl Named for Path {
    fn path(&self) -> &Path {
        self
    }
}

impl Named for Member {
    fn path(&self) -> &Path {
        Self::path(self)
    }
}

impl Member {
    pub(super) const fn is_run(&self) -> bool {
        matches!(self, Self::Run(..))
    }

    /// What it takes, at the beginning of a pipeline.
    fn input(&self, private: &TokenStream) -> TokenStream {
        let ty = self.ty();
        self.place(&match self {
            Self::Step(_) => quote!(<<#ty as #private::Step>::Input as #private::Begin>::Input),
            Self::Run(..) => quote!(<#ty as #private::Pipeline>::Input),
        })
    }

    fn output(&self, private: &TokenStream) -> TokenStream {
        let ty = self.ty();
        self.place(&match self {
            Self::Step(_) => quote!(<#ty as #private::Step>::Output),
            Self::Run(..) => quote!(<#ty as #private::Pipeline>::Output),
        })
    }

    /// The name of its records.
    pub(super) fn name(&self, private: &TokenStream) -> TokenStream {
        let ty = self.ty();
        self.place(&match self {
            Self::Step(_) => quote!(<#ty as #private::StepDefinition>::NAME),
            Self::Run(..) => quote!(<#ty as #private::Pipeline>::NAME),
        })
    }

    fn marker(&self, private: &TokenStream) -> TokenStream {
        let ty = self.ty();
        match self {
            Self::Step(_) => self.around(&quote!(#private::Call), &ty),
            Self::Run(..) => self.around(&quote!(#private::Run), &ty),
        }
    }

    /// The same by way of what it hands on, which is unknown of what is no step: that is told at the name, and not of the
    /// group again.
    fn marker_in_group(&self, private: &TokenStream) -> TokenStream {
        let ty = self.ty();
        self.place(&match self {
            Self::Step(_) => quote!(#private::Given<<#ty as #private::Step>::Output>),
            Self::Run(..) => quote!(<<#ty as #private::Pipeline>::Output as #private::EndOf<#ty>>::Marker),
        })
    }

    /// The call that makes it, after what `before` marks.
    fn make(&self, private: &TokenStream, before: &TokenStream) -> TokenStream {
        let between = self.place(&quote!(_));
        let (function, types) = self.maker(["step", "run", "run_undone_by"]);
        self.call(&quote!(#private::Member::#function), &quote!(#types, #before, #between))
    }

    /// Which of the three functions makes it, and with which types: for a step, for a run, and for a run that another step
    /// undoes.
    fn maker(&self, [step, run, undone]: [&str; 3]) -> (Ident, TokenStream) {
        let ty = self.ty();
        let (name, types) = match self {
            Self::Step(_) => (step, ty),
            Self::Run(_, None | Some(Undo::Nothing(_))) => (run, ty),
            Self::Run(_, Some(Undo::By(path))) => {
                let undo = path.ty();
                (undone, quote!(#ty, #undo))
            }
        };
        (Ident::new(name, Span::call_site()), types)
    }
}
